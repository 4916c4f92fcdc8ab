"""Jobs that are made again and again: on a cron, or when traffic fails more often."""
