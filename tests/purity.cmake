# Fails when a pure core includes what does I/O, reads a clock or knows a storage or wire format.
#   cmake -DSOURCE=DIR -P purity.cmake
# With -DEXPECT_VIOLATION=ON it must find something: so the test of the test (tests/purity/) works.
set(forbidden "czmq|zmq|sqlite3?|jansson|yaml|sodium|stdio|time|sys/time|unistd|fcntl|signal|pthread|poll|sys/[a-z]+|base/file|base/log|base/child|db/[a-z_]+|proto/wire/[a-z_]+|proto/yaml|proto/keys")
set(found "")
foreach(directory ${DIRECTORIES})
    file(GLOB sources ${SOURCE}/${directory}/*.c ${SOURCE}/${directory}/*.h)
    foreach(source ${sources})
        file(STRINGS ${source} lines REGEX
            "^[ \t]*#[ \t]*include[ \t]*[<\"](${forbidden})\\.h[>\"]|ph_clock_(boot|wall)_ms|[^a-z_](rand|random|time|getenv)[(]")
        foreach(line ${lines})
            string(APPEND found "  ${source}: ${line}\n")
        endforeach()
    endforeach()
endforeach()
if(EXPECT_VIOLATION)
    if(found STREQUAL "")
        message(FATAL_ERROR "an impure file was not noticed: the check is blind")
    endif()
elseif(NOT found STREQUAL "")
    message(FATAL_ERROR "pure directories include what they must not:\n${found}")
endif()
