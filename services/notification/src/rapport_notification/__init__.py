"""Whether, when, where and how to speak to a customer."""
