locals {
  id      = "${var.name}-${var.stage}"
  tags    = { Name = local.id, app = var.name, stage = var.stage }
  machine = "${path.module}/../../../machine"
}

data "aws_ami" "debian" {
  owners      = ["136693071363"] # The Debian project's own account.
  most_recent = true
  filter {
    name   = "name"
    values = ["debian-13-amd64-*"]
  }
}

resource "aws_key_pair" "admin" {
  key_name   = local.id
  public_key = var.ssh_public_key
}

resource "aws_security_group" "server" {
  name        = "server-${local.id}" # AWS refuses a name that begins with sg-
  description = "Web for everybody, SSH for the listed networks"
  tags        = local.tags
}

resource "aws_vpc_security_group_ingress_rule" "web" {
  for_each          = toset(["80", "443"])
  security_group_id = aws_security_group.server.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = tonumber(each.key)
  to_port           = tonumber(each.key)
}

resource "aws_vpc_security_group_ingress_rule" "ssh" {
  for_each          = toset(var.ssh_from)
  security_group_id = aws_security_group.server.id
  cidr_ipv4         = each.key
  ip_protocol       = "tcp"
  from_port         = 22
  to_port           = 22
}

resource "aws_vpc_security_group_egress_rule" "all" {
  security_group_id = aws_security_group.server.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
}

resource "aws_instance" "server" {
  ami                    = data.aws_ami.debian.id
  instance_type          = var.instance_type
  key_name               = aws_key_pair.admin.key_name
  vpc_security_group_ids = [aws_security_group.server.id]
  iam_instance_profile   = aws_iam_instance_profile.server.name
  tags                   = local.tags

  user_data = templatefile("${path.module}/cloud-init.yaml.tftpl", {
    ssh_public_key = var.ssh_public_key
    files = {
      # sshd takes the first value it reads, and images bring a 50-cloud-init.conf of their own.
      "/etc/ssh/sshd_config.d/10-deploy.conf" = file("${local.machine}/sshd.conf")
      "/etc/docker/daemon.json"               = file("${local.machine}/docker.json")
      "/etc/apt/apt.conf.d/20auto-upgrades"   = file("${local.machine}/upgrades.conf")
    }
  })

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
    # One hop ends at the machine itself: a container cannot ask for the machine's credentials.
    http_put_response_hop_limit = 1
  }

  root_block_device {
    volume_type = "gp3"
    volume_size = var.disk_gb
    encrypted   = true
  }

  credit_specification {
    # Unlimited, the default of t3, turns a busy month into a surprise on the bill.
    cpu_credits = "standard"
  }

  lifecycle {
    # A newer image or a changed cloud-init would replace the machine, and the data on its disk with it.
    ignore_changes = [ami, user_data]
  }
}

resource "aws_eip" "server" {
  instance = aws_instance.server.id
  domain   = "vpc"
  tags     = local.tags
}
