"""The commands of `python -m service`: for modellers, and for whoever runs the service."""
