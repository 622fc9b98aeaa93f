"""Access to the admin API: tokens and keys, rights, allowed hosts, failed logins."""
