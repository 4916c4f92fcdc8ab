"""Rules that the code keeps."""
