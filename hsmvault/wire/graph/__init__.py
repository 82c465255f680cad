"""The embedded directory over HTTP: the part of Microsoft Graph that clients of the management plane call."""
