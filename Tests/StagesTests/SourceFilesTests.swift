import Catalog
import DataStages
import Files
import Foundation
import PipelineCore
import Stages
import TestSupport
import Testing

@Suite struct SourceFilesTests {
  @Test(
    "a path says its split as `datasets` reads it",
    arguments: [
      // A file's name, as a whole or as a word of it.
      ("train-00000-of-00387-6ad1b7c22b3d6f0a.parquet", "train"),
      ("validation_unique-00000-of-00001.parquet", "validation_unique"),
      ("data/test_unique-00000-of-00001.parquet", "test_unique"),
      ("sample-test-00002-of-00004-x.parquet", "test"), ("validation.parquet", "validation"),
      ("validation_0000.parquet", "validation"), ("data_test.parquet", "test"),
      ("valid.parquet", "validation"), ("my-test-split.parquet", "test"),
      ("my val 3.parquet", "validation"), ("x.dev.parquet", "validation"),
      ("eval.jsonl", "test"), ("pairs.evaluation.csv", "test"), ("training_1.parquet", "train"),
      ("test1.parquet", "test"), ("val2017.parquet", "validation"),
      ("test_unique_0000.parquet", "test_unique"), ("train_test.parquet", "test"),
      // Words only: not parts of them.
      ("latest.parquet", nil), ("contest_5.parquet", nil), ("evaluate.parquet", nil),
      ("devices.parquet", nil), ("0000.parquet", nil),
      // In whatever case, also in brackets.
      ("TEST.parquet", "test"), ("Validation/x.csv", "validation"), ("pairs (Test).csv", "test"),
      ("data/Train-00000-of-00001.parquet", "train"),
      // Folders, the nearest first, where the file's name says nothing.
      ("hub/default/validation/0000.parquet", "validation"), ("test/train/0.parquet", "train"),
      ("default/partial-train/0000.parquet", "train"), ("eval_set/part/0.parquet", "test"),
      ("validation/train.parquet", "train"), ("hive/split=test/part-0.parquet", "test"),
      ("split=dev/0.parquet", "validation"), ("split=held_out/0.parquet", "held_out"),
      ("split=../0.parquet", nil),
      // Any name before the numbers, in a folder `data`.
      ("data/train_prefs-00000-of-00001.parquet", "train_prefs"),
      ("data/val-00000-of-00002.parquet", "validation"),
      ("train_sft-00000-of-00001.parquet", "train"),
      ("test/part-00000-of-00010.parquet", "test"), ("data/.x-00000-of-00010.parquet", nil),
    ] as [(String, String?)])
  func splits(path: String, split: String?) {
    #expect(SplitName.named(in: path, below: "") == split)
  }

  @Test("of the folders above the data only the file's own counts, and as a whole")
  func foldersAbove() {
    for (path, base, split) in [
      ("/home/me/test/data/rows.parquet", "/home/me/test/data", nil),
      ("/tmp/test_zstd0/rows.parquet", "/tmp/test_zstd0", nil),
      ("/tmp/test/rows.parquet", "/tmp/test", "test"),
      ("/tmp/test_1/validation_x/rows.parquet", "/tmp/test_1", "validation"),
      ("/tmp/hub/validation/0000.parquet", "/tmp/hub/validation", "validation"),
      ("/tmp/hub/split=dev/0000.parquet", "/tmp/hub/split=dev", "validation"),
    ] as [(String, String, String?)] {
      #expect(SplitName.named(in: path, below: base) == split, "\(path)")
    }
  }

  @Test("an absolute path into the current folder says what the relative one does")
  func spellings() throws {
    let current = FileManager.default.currentDirectoryPath
    let folder = "test-\(UUID().uuidString)"
    try Folders.make("\(folder)/data")
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try AtomicFile.replace("\(folder)/data/rows.parquet", with: [])
    for pattern in ["\(folder)/data/rows.parquet", "\(folder)/data", "\(folder)/*/*.parquet"] {
      for spelling in [pattern, "\(current)/\(pattern)", "./\(pattern)"] {
        let files = try SourceFiles(SourceList([spelling]), split: nil).files
        #expect(files.map(\.split) == ["test"], "\(spelling)")
      }
    }
  }

  @Test(
    "the folders above data elsewhere do not count, however its path is spelled; a coincidence is said"
  )
  func elsewhere() throws {
    try with(["test-project/data/a.parquet", "eval run/x/b.parquet"]) { folder throws in
      let current = FileManager.default.currentDirectoryPath
      let up = String(repeating: "../", count: current.split(separator: "/").count)
      for start in ["", up.dropLast() + ""] {
        let alone = try SourceFiles(
          SourceList(["\(start)\(folder)/test-project/data/a.parquet"]), split: nil)
        #expect(alone.files.map(\.split) == ["train"], "\(start)")
        let all = try SourceFiles(SourceList(["\(start)\(folder)"]), split: nil)
        #expect(all.files.map(\.split) == ["test", "test"], "\(start)")
        for name in ["eval run", "test-project"] {
          #expect(
            all.notes.contains { $0.hasSuffix("split test, as the folder's name \(name) says") },
            "\(all.notes)")
        }
      }
    }
  }

  /// Empty files under these paths.
  private func with(
    _ paths: [String], _ body: (String) throws -> Void
  ) throws {
    try withTemporaryFolder { folder throws in
      for path in paths {
        let full = "\(folder)/\(path)"
        try FileManager.default.createDirectory(
          atPath: String(full[..<(full.lastIndex(of: "/") ?? full.endIndex)]),
          withIntermediateDirectories: true)
        try AtomicFile.replace(full, with: [])
      }
      try body(folder)
    }
  }

  private func names(_ folder: String, _ patterns: String...) throws -> [String] {
    try SourceFiles(SourceList(patterns.map { "\(folder)/\($0)" }), split: nil).files.map {
      String($0.path.dropFirst(folder.count + 1))
    }
  }

  @Test("folders stand for all records below them; patterns may choose folders, too")
  func folders() throws {
    try with([
      "hub/train/0.parquet", "hub/train/1.parquet", "hub/test/0.jsonl", "hub/README.md",
      "hub/dataset_info.json", "hub/.cache/x.parquet", "lists/prompts.json",
    ]) { folder throws in
      let all = ["hub/test/0.jsonl", "hub/train/0.parquet", "hub/train/1.parquet"]
      for pattern in ["hub", "hub/", "hub/**/*.*[tl]", "h*", "hub/**"] {
        #expect(try names(folder, pattern) == all, "\(pattern)")
      }
      #expect(try names(folder, "hub/t*/") == all)
      #expect(try names(folder, "hub/train/*", "hub/train") == Array(all.dropFirst()))
      #expect(try names(folder, "lists") == ["lists/prompts.json"])
      let files = try SourceFiles(SourceList(["\(folder)/hub"]), split: nil)
      #expect(files.files.map(\.split) == ["test", "train", "train"])
      #expect(
        files.notes.map { $0.replacing(folder, with: "") } == [
          "ignored next to the record files: /hub/README.md",
          "not read: /hub/dataset_info.json: JSON and text are read where there are no other records, or if "
            + "ingest.source names them",
        ])
    }
  }

  @Test("a name with brackets stands for itself, or is said how to be written")
  func brackets() throws {
    try with(["a[1].parquet", "a1.parquet", "b1.parquet"]) { folder throws in
      #expect(try names(folder, "a[1].parquet") == ["a[1].parquet"])
      #expect(try names(folder, "a[[]1].parquet") == ["a[1].parquet"])
      #expect(try names(folder, "[ab]1.parquet") == ["a1.parquet", "b1.parquet"])
      let message = failure { _ = try names(folder, "b[2].parquet") }
      #expect(message?.contains("write \"\(folder)/b[[]2].parquet\"") == true)
    }
    // What is not a bracket still chooses.
    try with(["b[1]/x.parquet", "b[1]/y.parquet"]) { folder throws in
      let message = failure { _ = try names(folder, "b[1]/*.parquet") }
      #expect(message?.contains("write \"\(folder)/b[[]1]/*.parquet\"") == true, "\(message ?? "")")
      #expect(try names(folder, "b[[]1]/*.parquet") == ["b[1]/x.parquet", "b[1]/y.parquet"])
      let escaped = failure { _ = try names(folder, "b[[]1]/z*.parquet") }
      #expect(escaped?.contains("brackets") == false, "\(escaped ?? "")")
    }
  }

  @Test("a file is read once, whatever names lead to it, and that is said")
  func sameFile() throws {
    try with(["data/a.parquet", "data/sub/x.parquet", "data/train.parquet"]) { folder throws in
      let manager = FileManager.default
      try manager.createSymbolicLink(
        atPath: "\(folder)/data/b.parquet", withDestinationPath: "a.parquet")
      try manager.createSymbolicLink(atPath: "\(folder)/linked", withDestinationPath: "data")
      for other in [
        "data/sub/../a.parquet", "data/b.parquet", "linked/a.parquet", "data//./a.parquet",
      ] {
        let files = try SourceFiles(
          SourceList(["\(folder)/data/a.parquet", "\(folder)/\(other)"]), split: nil)
        #expect(files.files.map(\.path) == ["\(folder)/data/a.parquet"], "\(other)")
        #expect(files.notes.contains { $0.hasPrefix("read once: ") }, "\(files.notes)")
      }
      // A relative and an absolute path.
      let current = manager.currentDirectoryPath
      let up = String(repeating: "../", count: current.split(separator: "/").count)
      let relative = up + String(folder.dropFirst()) + "/data/a.parquet"
      #expect(
        try SourceFiles(SourceList([relative, "\(folder)/data/a.parquet"]), split: "train")
          .files.count == 1)
      // Names that say different splits cannot both be right.
      try manager.createSymbolicLink(
        atPath: "\(folder)/data/test.parquet", withDestinationPath: "train.parquet")
      let list = SourceList(["\(folder)/data/t*.parquet"])
      let message = failure { _ = try SourceFiles(list, split: nil) }
      #expect(message?.contains("are the same file") == true, "\(message ?? "")")
      #expect(try SourceFiles(list, split: "train").files.count == 1)
    }
  }

  @Test("where no path says a split, the row counts says that all is train")
  func silentSplit() throws {
    try with(["a.parquet", "b.parquet", "test.parquet"]) { folder throws in
      let files = try SourceFiles(SourceList(["\(folder)/*.parquet"]), split: nil)
      #expect(files.files.map(\.split) == ["train", "train", "test"])
      #expect(files.notes == ["\(folder)/a.parquet and 1 more name no split; using train"])
      let given = try SourceFiles(SourceList(["\(folder)/*.parquet"]), split: "test")
      #expect(given.files.map(\.split) == ["test", "test", "test"])
      #expect(given.notes.isEmpty)
    }
  }

  @Test("the row counts of a run shows splits taken for granted, and every reason with an example")
  func funnel() throws {
    try withTemporaryFolder { folder throws in
      let good = try samplePNG(0)
      var rows = (0..<10).map { Row(first: ("a\($0)", good), second: ("b\($0)", good)) }
      rows[4].labels = (1, 1)
      rows[5].labels = (0.3, 0.7)
      rows[7].caption = nil
      try write(rows, to: "\(folder)/\u{1b}[31mrows.parquet")
      var pipeline = try DataPipeline(in: folder, sources: ["*.parquet"])
      pipeline.ingest["max_reject_fraction"] = 0.5
      let notes = try pipeline.run(through: "ingest").compactMap {
        if case .said(_, let text) = $0 { text } else { nil }
      }
      let file = "\(folder)/\\u{1b}[31mrows.parquet"
      #expect(
        notes.contains(
          "- 2 bad-label, such as \(file): row 4, column label_0: (1.0, 1.0) is not (1, 0), "
            + "(0, 1) or (0.5, 0.5)"))
      #expect(notes.contains("- 1 missing-value, such as \(file): row 7, column caption: no value"))
      #expect(notes.contains("note: \(file) names no split; using train"))
    }
  }

  @Test("the limit of rejects holds for small files; one row alone ends no run")
  func limitOfRejections() throws {
    for (bad, total, limit, ends) in [
      (8, 24, 0.01, true), (2, 24, 0.01, true), (1, 24, 0.01, false), (1, 24, 0, true),
      (2, 24, 0.1, false), (3, 300, 0.01, false), (4, 300, 0.01, true),
    ] as [(Int, Int, Double, Bool)] {
      try withTemporaryFolder { folder throws in
        let good = try samplePNG(0)
        var rows = (0..<total).map { Row(first: ("a\($0)", good), second: ("b\($0)", good)) }
        for index in 0..<bad { rows[2 * index].labels = (0.3, 0.7) }
        try write(rows, to: "\(folder)/train.parquet")
        var pipeline = try DataPipeline(in: folder, sources: ["train.parquet"])
        pipeline.ingest["max_reject_fraction"] = .number(limit)
        var notes: [String] = []
        pipeline.observe = { if case .said(_, let text) = $0 { notes.append(text) } }
        let message = failure { try pipeline.run(through: "ingest") }
        #expect((message != nil) == ends, "\(bad) of \(total) at \(limit)")
        if ends { #expect(notes.contains { $0.contains("bad-label, such as") }) }
        guard ends, limit > 0 else { return }
        // The next run ends the same way, and with a larger limit continues.
        #expect(failure { try pipeline.run(through: "ingest") } == message)
        pipeline.ingest["max_reject_fraction"] = 0.5
        try pipeline.run(through: "ingest")
        #expect(try pipeline.catalog().counts().pairs == total - bad)
      }
    }
  }

  @Test("a split that is no plain name is refused, wherever it comes from")
  func unsafeSplits() throws {
    try DataPipeline.with([DataPipeline.train]) { pipeline in
      for split in [
        "../../victim", "a/b", ".hidden", "", "x\u{0}y", String(repeating: "a", count: 101),
      ] {
        var changed = pipeline
        changed.ingest["split"] = .string(split)
        #expect(failure { try changed.run() }?.contains("ingest.split") == true, "\(split)")
      }
      try pipeline.run(through: "encode")
      let path = "\(pipeline.workspacePath)/catalog.sqlite"
      let catalog = try CatalogDatabase(path: path)
      try catalog.database.run("UPDATE pair SET split = '../../victim'")
      // As if ingest of another version had written it.
      try catalog.recordDigests()
      let message = failure { try pipeline.run() }
      #expect(
        message?.contains("\"../../victim\" is not a valid file name") == true, "\(message ?? "")")
    }
  }

  @Test("a catalog that changed after ingest is not used")
  func changedCatalog() throws {
    try DataPipeline.with([DataPipeline.train]) { pipeline in
      try pipeline.run(through: "ingest")
      let path = "\(pipeline.workspacePath)/catalog.sqlite"
      let database = try Database(path: path)
      // While it is open, what it wrote is in the log: the file itself is as ingest left it.
      try database.run("UPDATE pair SET label_0 = 0, label_1 = 1 WHERE id = 3")
      let message = failure { try pipeline.run() }
      withExtendedLifetime(database) {
        #expect(message?.contains("table pair is damaged") == true, "\(message ?? "")")
      }
      // Its path is said once.
      try database.writeLogBack()
      let problem = try pipeline.pipeline().verify()[0].problems.first ?? ""
      #expect(problem.contains("table pair is damaged"), "\(problem)")
      #expect(problem.components(separatedBy: "catalog.sqlite").count == 2, "\(problem)")
    }
  }
}
