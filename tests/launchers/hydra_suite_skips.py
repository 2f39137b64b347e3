"""The tests of Hydra's launcher suite that our launcher skips: why, and which of our tests asks the
same of it.

The suite's own jobs are Python functions, on the config of Hydra's `a_module` ({foo: 10, bar:
100}). A job of ours is the resolved config of a renate job, which a worker process reads from its
folder; there is no function to call.
"""

FOREIGN = (
    "runs a Python function on the config of Hydra's a_module; ours runs renate's jobs, from a "
    "config of renate's"
)
PRINTS = (
    "its task.py prints from within a function under hydra.main; a renate job is a config, run in "
    "a worker process"
)

# test -> why it can't hold, the tests in test_hydra_suite.py that stand for it
SKIPPED: dict[str, tuple[str, tuple[str, ...]]] = {
    # LauncherTestSuite
    "test_sweep_1_job": (
        f"{FOREIGN}; and it looks for a_module.log and .hydra/, which are log.txt, config.yaml and "
        "job.json",
        ("test_one_job",),
    ),
    "test_sweep_2_jobs": (
        f"{FOREIGN}; and it adds a key, +a=0,1, that a renate job could do nothing with",
        (
            "test_order_and_overrides",
            "test_numbers",
            "test_sweep_dir_and_subdirs",
            "test_what_is_saved",
        ),
    ),
    "test_sweep_1_job_strict": (f"{FOREIGN}; word for word test_sweep_1_job", ("test_one_job",)),
    "test_sweep_1_job_strict_and_bad_key": (
        "expects any exception, and a_module's config raises one here even with a good key: it "
        "would prove nothing",
        ("test_a_bad_key_stops_the_sweep",),
    ),
    "test_sweep_2_optimizers": (f"{FOREIGN}, with its group group1", ("test_order_and_overrides",)),
    "test_sweep_over_unspecified_mandatory_default": (
        f"{FOREIGN}; and every group of renate's has a default: what is mandatory is a value",
        ("test_sweep_over_a_mandatory_value",),
    ),
    "test_sweep_and_override": (
        f"{FOREIGN}; and its group db has no default: against ours Hydra checks a key before it "
        "composes any job",
        ("test_a_key_that_comes_with_an_option",),
    ),
    "test_sweep_with_custom_resolver": (
        f"{FOREIGN}, whose value the function returns; ours return the objective",
        ("test_a_resolver_of_the_callers",),
    ),
    # BatchedSweeperTestSuite
    "test_sweep_2_jobs_2_batches": (
        f"{FOREIGN}, with its group group1",
        (
            "test_order_and_overrides",
            "test_numbers",
            "test_sweep_dir_and_subdirs",
            "test_what_is_saved",
        ),
    ),
    # IntegrationTestSuite
    "test_custom_task_name": (PRINTS, ("test_job_name",)),
    "test_custom_sweeper_run_workdir": (
        f"{PRINTS}; and it sets hydra.job.chdir, which a job of ours can't have: its paths mean "
        "where the command ran",
        (
            "test_sweep_dir_and_subdirs",
            "test_sweep_dir_of_an_experiment",
            "test_override_dirname",
            "test_no_chdir",
        ),
    ),
    "test_get_orig_dir_multirun": (PRINTS, ("test_a_third_partys_sweeper",)),
    "test_to_absolute_path_multirun": (
        f"{PRINTS}; and it sets hydra.job.chdir",
        ("test_a_third_partys_sweeper", "test_no_chdir"),
    ),
}
