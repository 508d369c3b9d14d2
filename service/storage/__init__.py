"""Where models, uploads and results lie: named blobs in files, in Redis, or in object stores."""
