import Files
import Foundation
import TestSupport
import Testing

/// A page that follows a run, and disturbs nothing.
@Suite struct WatchTests {
  private func page(_ path: String) throws -> String {
    String(decoding: try RegularFile(path: path).readAll(), as: UTF8.self)
  }

  @Test("a finished run: one page with stages, curves and images, which nothing writes again")
  func finished() throws {
    try withTemporaryFolder { folder in
      let run = try SmallRun.finished(in: folder)
      let outcome = try spo("watch", run.workspace)
      expectSuccess(outcome)
      let path = run.path("watch.html")
      #expect(outcome.output == "page: \(path)\n")
      let page = try page(path)
      for text in [
        "all started stages are done", "no longer updated", "Stage spo", "Stage preference",
        "Gradient norm", "batch 0", "<td data-label=\"state\">done</td>",
      ] { #expect(page.contains(text), "\(text)") }
      #expect(!page.contains("data-refresh"))
      // Nothing else has changed, nor is the page in the way of anything.
      let states = try run.states()
      #expect(states.values.allSatisfy { $0 == "done" }, "\(states)")
      expectSuccess(try spo("verify", SmallRun.pipeline, "--workspace", run.workspace))
      expectSuccess(try run.run())
    }
  }

  @Test("a run at work: the page goes along, the run is not disturbed, and both end together")
  func running() throws {
    try withTemporaryFolder { folder in
      let run = try SmallRun.finished(in: folder)
      let words = [
        "run", SmallRun.pipeline, "--workspace", run.workspace, "--set", "spo.iterations=40",
        "--set", "spo.checkpoint_every=40", "--through", "spo", "--quiet",
      ]
      let program = try Program(words)
      let metrics = run.path("spo/.building/metrics.jsonl")
      try program.wait {
        (try? Data(contentsOf: URL(fileURLWithPath: metrics)))?.isEmpty == false
      }
      let path = "\(folder)/progress.html"
      let watch = try Program(["watch", run.workspace, "--out", path, "--every", "1"])
      try watch.wait { (try? page(path))?.contains("<progress") == true }
      let early = try page(path)
      // No checkpoint has come: what is known is from the metrics.
      #expect(early.contains("of 30 batches, about"), "\(early.prefix(6_000))")
      #expect(early.contains("data-refresh=\"1\"") && early.contains("running"))
      expectSuccess(try program.outcome())
      let outcome = try watch.outcome(within: 30)
      expectSuccess(outcome)
      #expect(outcome.errors.contains("all started stages are done"), "\(outcome)")
      #expect(try !page(path).contains("data-refresh"))
      #expect(!FileManager.default.fileExists(atPath: run.path("watch.html")))
    }
  }

  @Test("files that are half there are told of, and end nothing")
  func halfWritten() throws {
    try withTemporaryFolder { folder in
      let run = try SmallRun.finished(in: folder)
      let log = run.path("spo/metrics.jsonl")
      try Data("{\"step\":1,\"loss\":1}\n{\"ste\n{\"step\":3}\n".utf8)
        .write(to: URL(fileURLWithPath: log))
      try Data("{".utf8).write(to: URL(fileURLWithPath: run.path("state/encode.json")))
      try Data([1, 2, 3]).write(to: URL(fileURLWithPath: run.path("spo/pictures/batch-000000.png")))
      expectSuccess(try spo("watch", run.workspace, "--once"))
      let page = try page(run.path("watch.html"))
      #expect(page.contains("Cannot be read now") && page.contains("metrics.jsonl, line 2"))
      #expect(page.contains("encode.json") && page.contains("Stage preference"))
    }
  }

  @Test("interrupted, it leaves a page that says so, and the run continues")
  func interrupted() throws {
    try withTemporaryFolder { folder in
      let run = try SmallRun.finished(in: folder)
      let program = try Program([
        "run", SmallRun.pipeline, "--workspace", run.workspace, "--set", "spo.epochs=1000",
        "--through", "spo", "--quiet",
      ])
      let building = run.path("spo/.building/metrics.jsonl")
      try program.wait { FileManager.default.fileExists(atPath: building) }
      let watch = try Program(["watch", run.workspace, "--every", "1"])
      let path = run.path("watch.html")
      try watch.wait { FileManager.default.fileExists(atPath: path) }
      watch.interrupt()
      #expect(try watch.outcome(within: 30).exitCode == 130)
      #expect(try page(path).contains("no longer updated"))
      program.interrupt()
      #expect(try program.outcome().exitCode == 130)
      expectSuccess(try spo("watch", run.workspace))
      #expect(try page(path).contains("spo is unfinished, and no process is running it"))
    }
  }

  @Test("a folder that is no workspace, and a page that somebody else has written")
  func foreign() throws {
    try withTemporaryFolder { folder in
      for place in ["\(folder)/none", folder, SmallRun.pipeline] {
        expect(try spo("watch", place), failsAs: .input, naming: place, "not a workspace")
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
      let run = try SmallRun.finished(in: folder)
      let out = "\(folder)/mine.html"
      try writeText("my own", to: out)
      let outcome = try spo("watch", run.workspace, "--once", "--out", out)
      expectSuccess(outcome)
      #expect(outcome.errors.contains("\(out).kept"), "\(outcome)")
      #expect(try page("\(out).kept") == "my own")
      let inside = run.path("spo/page.html")
      expect(
        try spo("watch", run.workspace, "--out", inside), failsAs: .settings, naming: inside)
      expect(
        try spo("watch", run.workspace, "--out", "\(folder)/page.png"), failsAs: .settings,
        naming: ".png")
      expect(
        try spo("watch", run.workspace, "--once", "--every", "5"), failsAs: .usage,
        naming: "--every")
    }
  }
}
