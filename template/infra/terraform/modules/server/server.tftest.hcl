mock_provider "aws" {}

variables {
  name           = "demo"
  stage          = "staging"
  instance_type  = "t3.small"
  disk_gb        = 30
  ssh_public_key = "ssh-ed25519 AAAA someone@laptop"
  ssh_from       = ["203.0.113.7/32"]
}

run "machine_is_closed_by_default" {
  command = plan

  assert {
    condition     = aws_instance.server.metadata_options[0].http_tokens == "required"
    error_message = "The metadata service must answer IMDSv2 only."
  }

  assert {
    condition     = aws_instance.server.root_block_device[0].encrypted
    error_message = "The root volume must be encrypted."
  }

  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.ssh : rule.cidr_ipv4] == ["203.0.113.7/32"]
    error_message = "SSH must be open to the listed networks only."
  }

  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.web : contains([80, 443], rule.to_port) && rule.from_port == rule.to_port])
    error_message = "Only the web ports may be open to everybody."
  }
}

run "cloud_init_makes_the_deploy_user" {
  command = plan

  assert {
    condition     = yamldecode(aws_instance.server.user_data).users[1].ssh_authorized_keys == [var.ssh_public_key]
    error_message = "The deploy user must get the given key."
  }
}

run "no_ssh_network_means_no_ssh" {
  command = plan
  variables {
    ssh_from = []
  }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.ssh) == 0
    error_message = "An empty list must leave port 22 closed."
  }
}

run "refuses_ssh_from_everywhere" {
  command = plan
  variables {
    ssh_from = ["0.0.0.0/0"]
  }
  expect_failures = [var.ssh_from]
}

run "refuses_ssh_from_half_of_everywhere" {
  command = plan
  variables {
    ssh_from = ["203.0.113.7/32", "128.0.0.0/1"]
  }
  expect_failures = [var.ssh_from]
}

run "refuses_an_unknown_stage" {
  command = plan
  variables {
    stage = "prod"
  }
  expect_failures = [var.stage]
}
