output "address" {
  description = "Point the domain's A record here."
  value       = aws_eip.server.public_ip
}

output "host" {
  description = "For hosts in config/deploy.toml."
  value       = "ssh://deploy@${aws_eip.server.public_ip}"
}

output "backups" {
  description = "The bucket, as restic writes it."
  value       = "s3:https://s3.${aws_s3_bucket.backups.region}.amazonaws.com/${aws_s3_bucket.backups.bucket}"
}

output "security_group" {
  value = aws_security_group.server.id
}

output "deploy_role" {
  value = one(aws_iam_role.deploy[*].arn)
}
