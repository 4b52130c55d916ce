# Install rules and the find_package(graft) package.
