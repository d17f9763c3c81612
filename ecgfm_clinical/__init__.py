"""The hall: joins the hospital side and the network around one SQL staging store."""
