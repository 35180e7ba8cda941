output "address" {
  description = "Point the domain's A record here."
  value       = aws_eip.server.public_ip
}

output "docker_host" {
  value = "ssh://deploy@${aws_eip.server.public_ip}"
}
