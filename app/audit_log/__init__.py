"""All audit logs as one."""
