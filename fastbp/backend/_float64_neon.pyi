from fastbp.backend._float64_portable import *
