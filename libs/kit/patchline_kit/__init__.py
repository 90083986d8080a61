"""What every Patchline service is made of: handlers on events, documents that wake."""
