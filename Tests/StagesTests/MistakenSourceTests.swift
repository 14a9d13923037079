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

  /// A CSV file next to images a.png and b.png.
  private func csv(
    _ text: String, _ overrides: [String] = [], check: (IngestPreview) throws -> Void
  ) throws {
    try withTemporaryFolder { folder in
      for (number, name) in ["a", "b"].enumerated() {
        try AtomicFile.replace("\(folder)/\(name).png", with: try samplePNG(number))
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
        try AtomicFile.replace(path, with: try samplePNG(number))
      }
      try AtomicFile.replace("\(folder)/data/boats/prompt.txt", with: Array("two boats".utf8))
      try FileManager.default.createDirectory(
        atPath: "\(folder)/data/a cat", withIntermediateDirectories: true)
      try AtomicFile.replace("\(folder)/data/a cat/cat.png", with: try samplePNG(4))
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

  @Test(
    "a file under another format's name is told to be renamed",
    arguments: [
      ("a.csv", "PAR1xxxxPAR1", "let its name end in .parquet"),
      ("a.parquet", "prompt,image_0,image_1,preferred\na,b,c,0\n", "let its name end in .csv"),
      ("a.csv", "{\"prompt\": \"a\"}\n", "a name that ends in .json or .jsonl"),
    ])
  func misnamed(name: String, text: String, remedy: String) throws {
    try withTemporaryFolder { folder in
      try AtomicFile.replace("\(folder)/\(name)", with: Array(text.utf8))
      let found = try preview("\(folder)/\(name)")
      let message = failure { try found.requireUsable() } ?? "accepted"
      #expect(message.contains(remedy), "\(message)")
    }
  }

  @Test("answers in words are not taken for the paths of images")
  func texts() throws {
    for text in ["It is four.", "four\nfive", "I see Mt. Everest", "no idea"] {
      let json =
        "{\"prompt\": \"2 + 2?\", \"chosen\": \(JSON.string(text).text()), \"rejected\": \"five six\"}\n"
      try withTemporaryFolder { folder in
        try AtomicFile.replace("\(folder)/a.jsonl", with: Array(json.utf8))
        let found = try preview("\(folder)/a.jsonl")
        let message = failure { try found.requireUsable() } ?? "accepted"
        #expect(message.contains("is no image but a text"), "\(message)")
      }
    }
  }

  @Test("a folder of all preferred images and one of all others are not taken for prompts")
  func outcomeFolders() throws {
    try withTemporaryFolder { folder in
      for name in ["chosen", "rejected"] {
        try Folders.make("\(folder)/data/\(name)")
        for image in 1...3 {
          try AtomicFile.replace(
            "\(folder)/data/\(name)/000\(image).png", with: try samplePNG(image))
        }
      }
      let found = try preview("\(folder)/data")
      let message = failure { try found.requireUsable() } ?? "accepted"
      #expect(message.contains("named after outcomes (chosen, rejected)"), "\(message)")
    }
  }

  @Test("a folder that datasets has saved is told how to be converted")
  func savedDataset() throws {
    try withTemporaryFolder { folder in
      for name in ["data-00000-of-00001.arrow", "dataset_info.json", "state.json"] {
        try AtomicFile.replace("\(folder)/\(name)", with: Array("{}".utf8))
      }
      let found = try preview(folder)
      let message = failure { try found.requireUsable() } ?? "accepted"
      #expect(message.contains("to_parquet"), "\(message)")
    }
  }

  @Test("images of formats that are not read are named, and one image is no ranking")
  func rankedFolders() throws {
    try withTemporaryFolder { folder in
      for (name, bytes) in [
        ("a/1.png", try samplePNG(0)), ("a/2.gif", Array("GIF89a".utf8)),
        ("a/3.png", try samplePNG(1)),
        ("b/1.png", try samplePNG(0)), ("c/1.png", try samplePNG(2)), ("c/2.png", try samplePNG(3)),
      ] {
        try Folders.make("\(folder)/data/\(name.prefix(1))")
        try AtomicFile.replace("\(folder)/data/\(name)", with: bytes)
      }
      let text = try preview("\(folder)/data").lines.joined(separator: "\n")
      #expect(text.contains("GIF") && text.contains("a ranking needs at least 2"), "\(text)")
      #expect(text.contains("2 pairs in train"), "\(text)")
    }
  }

  @Test("an audit of prompts alone is refused, and says how columns would be read")
  func promptsAlone() throws {
    try withTemporaryFolder { folder in
      try AtomicFile.replace(
        "\(folder)/pairs.csv", with: Array("text,win,lose\nx,a.png,b.png\n".utf8))
      let hint = failure { _ = try Audit(.files(["\(folder)/pairs.csv"], overrides: [])) }
      #expect(hint?.contains("columns: { chosen:") == true, "\(hint ?? "accepted")")
      try AtomicFile.replace("\(folder)/prompts.txt", with: Array("a cat\na dog\n".utf8))
      let message = failure { _ = try Audit(.files(["\(folder)/prompts.txt"], overrides: [])) }
      #expect(message?.contains("no pairs of images") == true, "\(message ?? "accepted")")
    }
  }
}
