# Opens port 22 to the deploy workflow while it runs, since a runner has another address each time. No key is stored:
# GitHub vouches for a job in the stage's environment of the one repository.
locals {
  issuer  = "token.actions.githubusercontent.com"
  trusted = var.github_repository == "" ? 0 : 1
}

data "aws_iam_openid_connect_provider" "ci" {
  count = local.trusted
  url   = "https://${local.issuer}"
}

resource "aws_iam_role" "deploy" {
  count = local.trusted
  name  = "${local.id}-deploy"
  tags  = local.tags
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = data.aws_iam_openid_connect_provider.ci[0].arn }
      Condition = { StringEquals = {
        "${local.issuer}:aud" = "sts.amazonaws.com"
        "${local.issuer}:sub" = "repo:${var.github_repository}:environment:${var.stage}"
      } }
    }]
  })
}

resource "aws_iam_role_policy" "deploy" {
  count = local.trusted
  name  = "port-22"
  role  = aws_iam_role.deploy[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"]
      Resource = aws_security_group.server.arn
    }]
  })
}
