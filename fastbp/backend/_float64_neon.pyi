from fastbp.backend._float64_v4 import *
