//! The client, against servers that are threads: good ones, and some that are not.
