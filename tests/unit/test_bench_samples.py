"""What the benchmark reads from the samples of a Flight Recorder."""

from __future__ import annotations

from bench.samples import Sample, samples, shares

PRINTED = """
jdk.ExecutionSample {
  startTime = 10:00:00.000 (2026-01-01)
  sampledThread = "Executor task launch worker for task 1.0 in stage 2.0 (TID 3)" (javaThreadId = 9)
  state = "STATE_RUNNABLE"
  stackTrace = [
    java.util.regex.Pattern$Start.match(Matcher, int, CharSequence) line: 3787
    org.example.Outer.run() line: 12
    ...
  ]
}

jdk.ExecutionSample {
  startTime = 10:00:00.020 (2026-01-01)
  sampledThread = "main" (javaThreadId = 1)
  state = "STATE_RUNNABLE"
  stackTrace = [
    org.example.Outer.run() line: 14
  ]
}
"""


def test_each_sample_is_a_thread_and_its_stack():
    assert list(samples(PRINTED.splitlines())) == [
        Sample(
            "Executor task launch worker for task 1.0 in stage 2.0 (TID 3)",
            ("java.util.regex.Pattern$Start.match", "org.example.Outer.run"),
        ),
        Sample("main", ("org.example.Outer.run",)),
    ]


def test_a_method_counts_where_the_thread_was_and_where_it_was_on_the_stack():
    assert shares(list(samples(PRINTED.splitlines())), 5)[4:] == [
        "| java.util.regex.Pattern$Start.match | 50.0% | org.example.Outer.run | 100.0% |",
        "| org.example.Outer.run | 50.0% | java.util.regex.Pattern$Start.match | 50.0% |",
    ]
