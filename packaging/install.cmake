# What `cmake --install` puts in place beside the programs.
include(GNUInstallDirs)

if(TARGET poolherd)
    # The command line prints its own man page and completion, so they cannot be out of date.
    add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/poolherd.1 ${CMAKE_BINARY_DIR}/poolherd.bash
            ${CMAKE_BINARY_DIR}/poolherd.fish
        COMMAND poolherd man > ${CMAKE_BINARY_DIR}/poolherd.1
        COMMAND poolherd completion bash > ${CMAKE_BINARY_DIR}/poolherd.bash
        COMMAND poolherd completion fish > ${CMAKE_BINARY_DIR}/poolherd.fish
        DEPENDS poolherd)
    add_custom_target(poolherd_pages ALL DEPENDS ${CMAKE_BINARY_DIR}/poolherd.1)
    install(FILES ${CMAKE_BINARY_DIR}/poolherd.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
    install(FILES ${CMAKE_BINARY_DIR}/poolherd.bash RENAME poolherd
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
    install(FILES ${CMAKE_BINARY_DIR}/poolherd.fish
        DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endif()

install(FILES packaging/man/poolherd-manager.8 packaging/man/poolherd-agent.8
    packaging/man/poolherd-guard.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
install(FILES examples/pools.yaml DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)

if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
    foreach(unit poolherd-manager poolherd-agent)
        configure_file(packaging/systemd/${unit}.service.in ${CMAKE_BINARY_DIR}/${unit}.service @ONLY)
        install(FILES ${CMAKE_BINARY_DIR}/${unit}.service DESTINATION lib/systemd/system)
    endforeach()
endif()
