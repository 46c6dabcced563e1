"""A page to teach a model by camera, and a server that builds files from what it was taught."""

# A variable of the environment; if it is set, a build prints each step as a line as it begins.
STEPS = "POCKETKNN_STEPS"
PLACE = "model"  # of what was built, in the page's addresses and in the folder that was named
