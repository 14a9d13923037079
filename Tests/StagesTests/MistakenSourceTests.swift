import DataStages
import Files
import Foundation
import PipelineCore
import Stages
import TestSupport
import Testing

/// Sources that are nearly right: what is meant is read, or the message says what to change.
@Suite struct MistakenSourceTests {
  private func preview(_ path: String, _ overrides: [String] = []) throws -> IngestPreview {
    try IngestPreview(files: [path], overrides: overrides, rowLimit: 100)
  }

  /// A CSV file beside images a.png and b.png.
  private func csv(
    _ text: String, _ overrides: [String] = [], check: (IngestPreview) throws -> Void
  ) throws {
    try withTemporaryFolder { folder in
      for (number, name) in ["a", "b"].enumerated() {
        try AtomicFile.replace("\(folder)/\(name).png", with: try picture(number))
      }
      let path = "\(folder)/pairs.csv"
      try AtomicFile.replace(path, with: Array(text.utf8))
      try check(try preview(path, overrides))
    }
  }

  @Test("a folder without ranks does not hide the folders of prompts beside it")
  func unrankedFolder() throws {
    try withTemporaryFolder { folder in
      for (place, number) in [("a fox/1", 0), ("a fox/2", 1), ("boats/1", 2), ("boats/2", 3)] {
        let path = "\(folder)/data/\(place).png"
        try FileManager.default.createDirectory(
          atPath: OutputPath.folder(of: path), withIntermediateDirectories: true)
        try AtomicFile.replace(path, with: try picture(number))
      }
      try AtomicFile.replace("\(folder)/data/boats/prompt.txt", with: Array("two boats".utf8))
      try FileManager.default.createDirectory(
        atPath: "\(folder)/data/a cat", withIntermediateDirectories: true)
      try AtomicFile.replace("\(folder)/data/a cat/cat.png", with: try picture(4))
      let found = try preview("\(folder)/data").json
      #expect(found["sources"]?[0]?["form"] == "folders")
      #expect(found["funnel"]?["pairs"] == 2)
      #expect(found["funnel"]?["rejects"]?["bad-ranking"] == 1)
    }
  }

  @Test("True and False of a table are 1 and 0")
  func truthValues() throws {
    try csv("prompt,image_0,image_1,preferred\nx,a.png,b.png,True\ny,a.png,b.png,False\n") {
      let rows = try #require($0.json["first_rows"]?.array).compactMap { $0["text"]?.string }
      #expect(rows.count == 2 && rows[0].contains("image_1 (20 x 18) preferred to image_0"))
      #expect(rows.last?.contains("image_0 (20 x 18) preferred to image_1") == true)
    }
  }

  @Test("labels that count from 1 are told how to be read")
  func countingFromOne() throws {
    try csv("prompt,image_0,image_1,preferred\nx,a.png,b.png,2\ny,a.png,b.png,0\n") {
      let text = $0.lines.joined(separator: "\n")
      #expect(text.contains("name the image columns image_1 and image_2"), "\(text)")
    }
  }

  @Test("one column for both images, URLs in place of images, a root that is not there")
  func refused() throws {
    let rows = "prompt,left,right,preferred\nx,a.png,b.png,0\n"
    try csv(rows, ["columns.image_0=left", "columns.image_1=left"]) { preview in
      let problem = failure { try preview.requireUsable() }
      #expect(problem?.contains("column left is named for both images") == true, "\(problem ?? "")")
    }
    try csv("prompt,url_0,url_1,preferred\nx,https://x/a,https://x/b,0\n") { preview in
      let problem = failure { try preview.requireUsable() }
      #expect(problem?.contains("URLs are not followed") == true, "\(problem ?? "")")
    }
    #expect(
      failure { try csv(rows, ["image_root=/nowhere/at/all"]) { _ in } }?
        .contains("ingest.image_root: there is no folder /nowhere/at/all") == true)
  }

  @Test(
    "a file of a format that is not read names what converts it, and shows no empty counts",
    arguments: [
      ("pairs.csv.gz", "gunzip"), ("x.jsonl.zst", "unzstd"),
      ("data-00000-of-00001.arrow", "to_parquet"),
      ("x.tar", "tar xf"), ("votes.xlsx", "CSV"),
    ])
  func conversions(name: String, remedy: String) throws {
    try withTemporaryFolder { folder in
      try AtomicFile.replace("\(folder)/\(name)", with: Array("x".utf8))
      let found = try preview("\(folder)/\(name)")
      let message = failure { try found.requireUsable() } ?? "accepted"
      #expect(message.contains("must end in") && message.contains(remedy), "\(message)")
      #expect(!found.lines.contains { $0.contains("rows read") }, "\(found.lines)")
    }
  }

  @Test("an audit of prompts alone is refused")
  func promptsAlone() throws {
    try withTemporaryFolder { folder in
      try AtomicFile.replace("\(folder)/prompts.txt", with: Array("a cat\na dog\n".utf8))
      let message = failure { _ = try Audit(.files(["\(folder)/prompts.txt"], overrides: [])) }
      #expect(message?.contains("no pairs of images") == true, "\(message ?? "accepted")")
    }
  }
}
