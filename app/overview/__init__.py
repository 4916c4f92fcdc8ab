"""What has become of each target, at a glance."""
