# Chat templates and assistant masks.
graft_test(chat CORE SOURCES test_jinja_expressions.cpp test_jinja_statements.cpp test_jinja_limits.cpp test_chat_template.cpp test_chat_golden.cpp
           test_chat_encoder.cpp FOLDERS base chat tokenizer)

# What tests/parity/test_chat.py drives.
add_executable(chat_render chat_render.cpp)
graft_common(chat_render CORE)
target_sources(chat_render PRIVATE $<TARGET_OBJECTS:graft_base> $<TARGET_OBJECTS:graft_chat> $<TARGET_OBJECTS:graft_tokenizer>)
