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
    condition     = aws_instance.server.metadata_options[0].http_put_response_hop_limit == 1
    error_message = "A container must not reach the machine's credentials."
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

run "cloud_init_makes_the_machine_ready" {
  command = plan

  assert {
    condition     = yamldecode(aws_instance.server.user_data).users[1].ssh_authorized_keys == [var.ssh_public_key]
    error_message = "The deploy user must get the given key."
  }

  assert {
    condition = alltrue([for line in ["PasswordAuthentication no", "PermitRootLogin no", "MaxSessions 30", "ClientAliveInterval 5", "ClientAliveCountMax 2"] :
      contains(split("\n", { for each in yamldecode(aws_instance.server.user_data).write_files : each.path => each.content }["/etc/ssh/sshd_config.d/10-deploy.conf"]), line)
    ])
    error_message = "SSH must take keys only and let go of a dead connection: the deploy lock lives as long as its connection."
  }

  assert {
    condition     = jsondecode({ for each in yamldecode(aws_instance.server.user_data).write_files : each.path => each.content }["/etc/docker/daemon.json"])["live-restore"]
    error_message = "Containers must outlive a restart of Docker."
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

run "only_one_repository_is_trusted" {
  command = plan
  variables {
    github_repository = "someone/*"
  }
  expect_failures = [var.github_repository]
}

run "no_repository_means_no_role" {
  command = plan

  assert {
    condition     = length(aws_iam_role.deploy) == 0
    error_message = "Without a repository nobody outside may take a role."
  }
}
