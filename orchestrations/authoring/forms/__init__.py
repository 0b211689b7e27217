"""What people type: declared as a Django form or as a type, stored as plain data, bound in any web process."""
