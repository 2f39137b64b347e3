from renate.cli import main

main()
