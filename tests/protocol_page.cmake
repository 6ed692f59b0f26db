# Fails when docs/protocol.md is not what the catalogue says.
#   cmake -DPROGRAM=.../poolherd-describe -DPAGE=.../docs/protocol.md -P protocol_page.cmake
execute_process(COMMAND ${PROGRAM} OUTPUT_VARIABLE printed RESULT_VARIABLE status)
if(NOT status EQUAL 0)
    message(FATAL_ERROR "${PROGRAM} ended with ${status}")
endif()
if(EXISTS ${PAGE})
    file(READ ${PAGE} page)
endif()
if(NOT "${printed}" STREQUAL "${page}")
    message(FATAL_ERROR "docs/protocol.md does not match proto/catalogue/; write it anew with\n"
        "  ${PROGRAM} > ${PAGE}")
endif()
