resource "aws_s3_bucket" "backups" {
  # The prefix may have 37 characters.
  bucket_prefix = "${trimsuffix(substr("${var.stage}-backups-${var.name}", 0, 36), "-")}-"
  tags          = local.tags
}

resource "aws_s3_bucket_versioning" "backups" {
  bucket = aws_s3_bucket.backups.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "backups" {
  bucket = aws_s3_bucket.backups.id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "backups" {
  bucket                  = aws_s3_bucket.backups.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_lifecycle_configuration" "backups" {
  bucket = aws_s3_bucket.backups.id
  rule {
    id     = "old-versions"
    status = "Enabled"
    filter {}
    noncurrent_version_expiration {
      noncurrent_days = 30
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}

resource "aws_iam_role" "server" {
  name = "${local.id}-server"
  tags = local.tags
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ec2.amazonaws.com" } }]
  })
}

# A stolen machine cannot destroy the past: it deletes nothing, and what it overwrites stays as an older version.
resource "aws_iam_role_policy" "backups" {
  name = "backups"
  role = aws_iam_role.server.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Effect = "Allow", Action = ["s3:GetObject", "s3:PutObject"], Resource = "${aws_s3_bucket.backups.arn}/*" },
      { Effect = "Allow", Action = ["s3:GetBucketLocation", "s3:ListBucket"], Resource = aws_s3_bucket.backups.arn },
      # restic takes a lock while it writes, and must give it back.
      { Effect = "Allow", Action = ["s3:DeleteObject"], Resource = "${aws_s3_bucket.backups.arn}/locks/*" },
    ]
  })
}

resource "aws_iam_instance_profile" "server" {
  name = "${local.id}-server"
  role = aws_iam_role.server.name
}
