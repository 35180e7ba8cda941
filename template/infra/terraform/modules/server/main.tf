locals {
  id   = "${var.name}-${var.stage}"
  tags = { Name = local.id, app = var.name, stage = var.stage }
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
  name        = local.id
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
  user_data              = templatefile("${path.module}/cloud-init.yaml.tftpl", { ssh_public_key = var.ssh_public_key })
  tags                   = local.tags

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
