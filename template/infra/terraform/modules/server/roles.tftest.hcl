mock_provider "aws" {
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::backups" }
  }
  mock_resource "aws_security_group" {
    defaults = { arn = "arn:aws:ec2:eu-central-1:123456789012:security-group/sg-1" }
  }
  mock_data "aws_iam_openid_connect_provider" {
    defaults = { arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com" }
  }
}

variables {
  name              = "a-name-of-forty-characters-which-is-legal"
  stage             = "production"
  instance_type     = "t3.small"
  disk_gb           = 30
  ssh_public_key    = "ssh-ed25519 AAAA someone@laptop"
  ssh_from          = []
  github_repository = "someone/desk"
}

# Applied to the mock, since a policy holds names that a plan does not know yet.
run "backups_are_kept_safe" {
  assert {
    condition     = aws_s3_bucket_versioning.backups.versioning_configuration[0].status == "Enabled"
    error_message = "What is overwritten must stay as an older version."
  }

  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.backups.rule).apply_server_side_encryption_by_default[0].sse_algorithm == "AES256"
    error_message = "Backups must be encrypted."
  }

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.backups.block_public_acls,
      aws_s3_bucket_public_access_block.backups.block_public_policy,
      aws_s3_bucket_public_access_block.backups.ignore_public_acls,
      aws_s3_bucket_public_access_block.backups.restrict_public_buckets,
    ])
    error_message = "Backups must be private."
  }

  assert {
    condition = {
      for each in jsondecode(aws_iam_role_policy.backups.policy).Statement : each.Resource => each.Action
      } == {
      "arn:aws:s3:::backups"         = ["s3:GetBucketLocation", "s3:ListBucket"]
      "arn:aws:s3:::backups/*"       = ["s3:GetObject", "s3:PutObject"]
      "arn:aws:s3:::backups/locks/*" = ["s3:DeleteObject"]
    }
    error_message = "The machine may add and read backups; it must delete none, nor any version of one."
  }

  assert {
    condition     = length(aws_s3_bucket.backups.bucket_prefix) <= 37
    error_message = "AWS takes a prefix of at most 37 characters."
  }
}

run "the_workflow_opens_port_22_and_nothing_else" {
  assert {
    condition = jsondecode(aws_iam_role.deploy[0].assume_role_policy).Statement[0].Condition == {
      StringEquals = {
        "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com"
        "token.actions.githubusercontent.com:sub" = "repo:someone/desk:environment:production"
      }
    }
    error_message = "Only this stage's environment of the repository may take the role."
  }

  assert {
    condition = [for each in jsondecode(aws_iam_role_policy.deploy[0].policy).Statement : [each.Action, each.Resource]] == [
      [["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"], aws_security_group.server.arn]
    ]
    error_message = "The role must change the rules of this machine's security group and do nothing else."
  }
}
