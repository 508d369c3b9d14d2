"""The servers that the service is compared with, written as their documentation suggests."""
