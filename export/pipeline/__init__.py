"""From photos or references to artefacts: find, embed, choose, export."""
