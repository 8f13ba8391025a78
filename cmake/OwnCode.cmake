# For our own code only: libwebsockets is configured apart.
add_compile_options(-Wall -Wextra -Werror)
