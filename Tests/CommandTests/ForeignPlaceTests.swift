import Files
import Foundation
import TestSupport
import Testing

/// A user's folder, file or link where this program once wrote a file of its own.
@Suite(.serialized) struct ForeignPlaceTests {
  @Test(
    "a folder in a result's place is refused by name, and what it holds stays",
    arguments: [
      ("report/index.html", "report"), ("spo/metrics.jsonl", "spo"),
      ("preference/evaluation.json", "preference"),
      ("spo/pytorch_lora_weights.safetensors", "spo"), ("shards/index.json", "shard"),
      ("encodings.json", "encode"),
    ])
  func folder(place: String, stage: String) throws {
    try withTemporaryFolder { folder in
      let run = try SmallRun.finished(in: folder)
      try FileManager.default.removeItem(atPath: run.path(place))
      try writeText("mine", to: run.path("\(place)/mine.txt"))
      let outcomes = [try run.run(), try run.run("--force", stage)]
      for outcome in outcomes where outcome.exitCode != 0 {
        expect(outcome, failsAs: .settings, naming: place)
      }
      #expect(outcomes[1].exitCode != 0)
      #expect(try run.bytes("\(place)/mine.txt") == Array("mine".utf8))
    }
  }

  @Test("a folder in a checkpoint's place stays when gc or a run removes the checkpoint")
  func checkpoint() throws {
    try withTemporaryFolder { folder in
      let run = try SmallRun.finished(in: folder)
      let checkpoints = run.path("spo/checkpoints")
      let newest = try #require(
        try FileManager.default.contentsOfDirectory(atPath: checkpoints).max())
      let file = "\(checkpoints)/\(newest)/weights.safetensors"
      try FileManager.default.removeItem(atPath: file)
      try writeText("mine", to: "\(file)/mine.txt")
      expectSuccess(try spo("gc", SmallRun.pipeline, "--workspace", run.workspace))
      #expect(try RegularFile(path: "\(file)/mine.txt").readAll() == Array("mine".utf8))
    }
  }

  @Test(
    "what a link leads to is not written over", arguments: ["encodings.json", "state/digests.json"])
  func link(place: String) throws {
    try withTemporaryFolder { folder in
      let precious = "\(folder)/precious.txt"
      try writeText("mine", to: precious)
      let run = try SmallRun.finished(in: folder)
      try FileManager.default.removeItem(atPath: run.path(place))
      try FileManager.default.createSymbolicLink(
        atPath: run.path(place), withDestinationPath: precious)
      for outcome in [try run.run(), try run.run("--force", "encode")] {
        expect(outcome, failsAs: .settings, naming: run.workspace)
      }
      #expect(try RegularFile(path: precious).readAll() == Array("mine".utf8))
    }
  }

  @Test("a stranger's digests make no workspace", arguments: [true, false])
  func digests(isLink: Bool) throws {
    try withTemporaryFolder { folder in
      let run = SmallRun(in: folder)
      let file = isLink ? "\(folder)/mine.json" : run.path("state/digests.json")
      try writeText("{\"my\": 1}", to: file)
      if isLink {
        try FileManager.default.createDirectory(
          atPath: run.path("state"), withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(
          atPath: run.path("state/digests.json"), withDestinationPath: file)
      }
      expect(
        try run.run("--through", "encode"), failsAs: .settings, naming: "state/digests.json")
      #expect(try RegularFile(path: file).readAll() == Array("{\"my\": 1}".utf8))
    }
  }

  @Test("a linked result of our own is followed and replaced behind the link")
  func ownLink() throws {
    try withTemporaryFolder { folder in
      let run = try SmallRun.finished(in: folder)
      let elsewhere = "\(folder)/encodings.json"
      try FileManager.default.moveItem(atPath: run.path("encodings.json"), toPath: elsewhere)
      try FileManager.default.createSymbolicLink(
        atPath: run.path("encodings.json"), withDestinationPath: elsewhere)
      expectSuccess(try run.run("--force", "encode"))
      let target = try FileManager.default.destinationOfSymbolicLink(
        atPath: run.path("encodings.json"))
      #expect(target == elsewhere)
    }
  }
}
