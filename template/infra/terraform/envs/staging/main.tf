# The same file in each stage: what differs is in terraform.tfvars, what is yours in access.auto.tfvars.
terraform {
  required_version = "~> 1.6"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}

variable "name" { type = string }
variable "stage" { type = string }
variable "instance_type" { type = string }
variable "disk_gb" { type = number }
variable "region" { type = string }
variable "ssh_public_key" { type = string }
variable "ssh_from" { type = list(string) }
variable "github_repository" {
  type    = string
  default = ""
}

provider "aws" {
  region = var.region
}

module "server" {
  source            = "../../modules/server"
  name              = var.name
  stage             = var.stage
  instance_type     = var.instance_type
  disk_gb           = var.disk_gb
  ssh_public_key    = var.ssh_public_key
  ssh_from          = var.ssh_from
  github_repository = var.github_repository
}

output "address" { value = module.server.address }
output "host" { value = module.server.host }
output "backups" { value = module.server.backups }
output "security_group" { value = module.server.security_group }
output "deploy_role" { value = module.server.deploy_role }
