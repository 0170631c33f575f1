"""Images as numbers, in pure functions: pixels in, pixels and boxes out."""

import cv2

# A caller's thread does its own work: as many images are worked on as there are threads of the callers.
cv2.setNumThreads(1)
# What is wrong with a file is told to whoever sent it.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
