"""``python -m cogent_ops.cli``."""

import sys

from cogent_ops.cli import main

sys.exit(main())
