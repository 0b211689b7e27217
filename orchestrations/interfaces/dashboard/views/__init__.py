"""The pages, a module each. A view reads aloud: permission, form, client call, partial."""
