variable "name" {
  description = "Name of the project, as in the machine's tags."
  type        = string
}

variable "stage" {
  type = string
  validation {
    condition     = contains(["staging", "production"], var.stage)
    error_message = "stage: '${var.stage}' is not known; use staging or production."
  }
}

variable "instance_type" {
  description = "An x86 type, since the image is built for amd64."
  type        = string
}

variable "disk_gb" {
  type = number
}

variable "ssh_public_key" {
  description = "One line of an .pub file; it opens the users deploy (Docker) and admin (sudo)."
  type        = string
}

variable "ssh_from" {
  description = "Networks that may reach port 22, such as 203.0.113.7/32."
  type        = list(string)
  validation {
    # Half of the internet twice is the whole internet, so the size counts and not only 0.0.0.0/0.
    condition     = alltrue([for cidr in var.ssh_from : try(cidrnetmask(cidr) != "" && tonumber(split("/", cidr)[1]) >= 16, false)])
    error_message = "ssh_from: give IPv4 networks of /16 or smaller, best your own address as a /32."
  }
}

variable "github_repository" {
  description = "owner/name of the repository whose deploy workflow may open port 22 for itself; empty: none."
  type        = string
  default     = ""
  validation {
    condition     = var.github_repository == "" || can(regex("^[\\w.-]+/[\\w.-]+$", var.github_repository))
    error_message = "github_repository: write owner/name, without stars."
  }
}
