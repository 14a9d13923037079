import Catalog
import DataStages
import Files
import Foundation
import Imaging
import PipelineCore
import Stages
import TestSupport
import Testing

/// `spo audit`.
@Suite struct AuditTests {
  /// Pairs with one fault of each kind; images are `samplePNG(n)` under the name `n.png`.
  private func write(in folder: String) throws -> [String] {
    for number in 0..<9 {
      try AtomicFile.replace("\(folder)/\(number).png", with: try samplePNG(number))
    }
    // Nearly image 0, of other bytes.
    var pixels = try RGBImage(decoding: try samplePNG(0)).pixels
    for index in pixels.indices { pixels[index] ^= 1 }
    try AtomicFile.replace(
      "\(folder)/near.png",
      with: try RGBImage(width: 20, height: 18, pixels: pixels).encodedAsPNG())
    let large = RGBImage(width: 40, height: 18, pixels: [UInt8](repeating: 9, count: 40 * 18 * 3))
    try AtomicFile.replace("\(folder)/large.png", with: try large.encodedAsPNG())
    let train = """
      prompt,image_0,image_1,preferred,user_id
      a fox,1.png,2.png,0,1
      a fox,2.png,1.png,0,2
      a hen,1.png,2.png,0,1
      a hen,2.png,3.png,0,1
      a hen,3.png,1.png,0,1
      a hen,1.png,4.png,0,1
      a cat,4.png,5.png,0,1
      a cat,5.png,4.png,1,2
      a dog,6.png,6.png,0,1
      a cow,0.png,near.png,0,1
      a bee,6.png,7.png,tie,1
      a naked mole rat,6.png,7.png,0,1
      " ",6.png,7.png,0,1
      shared,6.png,large.png,0,1
      an owl,8.png,7.png,0,1

      """
    let validation = "prompt,image_0,image_1,preferred,user_id\n Shared,3.png,8.png,1,1\n"
    try AtomicFile.replace("\(folder)/train.csv", with: Array(train.utf8))
    try AtomicFile.replace("\(folder)/validation.csv", with: Array(validation.utf8))
    return ["train.csv", "validation.csv"].map { "\(folder)/\($0)" }
  }

  @Test(
    "the majority of contradicting rows may be part of a cycle; a prompt's spelling does not matter"
  )
  func judgedTogether() throws {
    try withTemporaryFolder { folder in
      for number in 1..<4 {
        try AtomicFile.replace("\(folder)/\(number).png", with: try samplePNG(number))
      }
      func rows(_ text: String) throws -> [String: Int] {
        try AtomicFile.replace(
          "\(folder)/train.csv",
          with: Array("prompt,image_0,image_1,preferred\n\(text)".utf8))
        let audit = try Audit(.files(["\(folder)/train.csv"], overrides: []))
        let findings = try #require(audit.json(folder: nil)["findings"]?.array)
        return Dictionary(
          uniqueKeysWithValues: findings.map { ($0["kind"]?.string ?? "", $0["count"]?.int ?? -1) })
      }
      let cycle = "a hen,2.png,3.png,0\na hen,3.png,1.png,0\na hen,1.png,2.png,0\n"
      let minority = try rows(cycle + "a hen,1.png,2.png,0\na hen,2.png,1.png,0\n")
      #expect(minority["contradictions"] == 3 && minority["cycles"] == 4, "\(minority)")
      let even = try rows(cycle + "a hen,2.png,1.png,0\n")
      #expect(even["contradictions"] == 2 && even["cycles"] == 0, "\(even)")
      let spelled = try rows("a fox,1.png,2.png,0\nA  Fox,2.png,1.png,0\na fox ,1.png,2.png,0\n")
      #expect(spelled["contradictions"] == 3 && spelled["repeated_pairs"] == 1, "\(spelled)")
      // Of equal rows the first stays, however it is spelled.
      _ = try rows("A fox,1.png,2.png,0\na  fox,2.png,3.png,0\nA fox,2.png,3.png,0\n")
      let audit = try Audit(.files(["\(folder)/train.csv"], overrides: []))
      try audit.write(to: "\(folder)/audit")
      let list = try String(
        contentsOfFile: "\(folder)/audit/drop-repeated_pairs.txt", encoding: .utf8)
      #expect(list.contains("train.csv:2") && !list.contains("train.csv:1"), "\(list)")
    }
  }

  private static let expected: [String: (count: Int, rows: [Int])] = [
    "ties": (1, []),
    "contradictions": (2, [0, 1]),
    "cycles": (3, [2, 3, 4]),
    "repeated_pairs": (1, [7]),
    "same_image": (1, [8]),
    "nearly_same_image": (1, [9]),
    "prompts_in_train_and_held_out": (1, [13]),
    "images_in_train_and_held_out": (3, [3, 4, 14]),
    "empty_captions": (1, [12]),
    "unsafe_captions": (1, [11]),
    "different_sizes": (1, [13]),
    "images_with_several_identities": (0, []),
    "near_duplicate_images": (1, []),
  ]

  @Test("every kind of fault is counted, shown with its row and can be dropped")
  func kinds() throws {
    try withTemporaryFolder { folder in
      let files = try write(in: folder)
      let out = "\(folder)/audit"
      let audit = try Audit(.files(files, overrides: []))
      try audit.write(to: out)
      let json = audit.json(folder: out)
      for finding in try #require(json["findings"]?.array) {
        let kind = try #require(finding["kind"]?.string)
        let (count, rows) = try #require(Self.expected[kind])
        #expect(finding["count"] == .integer(count), "\(kind)")
        guard let remedy = finding["remedy"]?.string, count > 0 else { continue }
        guard kind != "ties" else {
          #expect(remedy == "ingest.ties=drop")
          continue
        }
        let list = String(remedy.dropFirst("ingest.drop=".count))
        let text = String(decoding: try RegularFile(path: list).readAll(), as: UTF8.self)
        let listed = text.split(separator: "\n").filter { !$0.hasPrefix("#") }.map(String.init)
        #expect(listed == rows.map { "\(files[0]):\($0)" }, "\(kind)")
      }
      let near = audit.lines(folder: nil).drop { !$0.hasPrefix("Near-duplicate") }
      let example = try #require(near.dropFirst().first)
      #expect(example.contains("looks like"), "\(example)")
      let names = example.split { " ()".contains($0) }.filter { $0.count == 64 }
      #expect(names.count == 2 && names.first != names.last, "\(example)")
      #expect(json["annotators"] == ["count": 2, "judged_by_two": 2, "agree": 1])
      let page = String(
        decoding: try RegularFile(path: "\(out)/index.html").readAll(), as: UTF8.self)
      #expect(page.contains("Contradictions") && page.contains("data:image/png;base64,"))
      // A second audit may write there, one of the user's folders is not touched.
      try audit.write(to: out)
      #expect(failure { try audit.write(to: folder) }?.contains("which no audit wrote") == true)
    }
  }

  @Test("a list or a page that was edited is kept, one that was not is replaced")
  func editedFiles() throws {
    try withTemporaryFolder { folder in
      let out = "\(folder)/audit"
      let files = try write(in: folder)
      let audit = try Audit(.files(files, overrides: []), looksAtImages: false)
      #expect(try audit.write(to: out) == [])
      #expect(try audit.write(to: out) == [])
      let edited = ["\(out)/drop-contradictions.txt", "\(out)/index.html"]
      for (round, ending) in ["kept", "kept-2"].enumerated() {
        for path in edited {
          let text = try String(contentsOfFile: path, encoding: .utf8)
          try AtomicFile.replace(path, with: Array("\(text)# mine \(round)\n".utf8))
        }
        let kept = try audit.write(to: out)
        #expect(kept == edited.map { "\($0).\(ending)" })
        for path in kept {
          #expect(
            try String(contentsOfFile: path, encoding: .utf8).hasSuffix("# mine \(round)\n"))
        }
      }
      // What an audit wrote of other data is none of the user's.
      let other = try Audit(.files([files[1]], overrides: []), looksAtImages: false)
      #expect(try other.write(to: out) == [])
    }
  }

  @Test("dropping what was found leaves data in which nothing is found")
  func remedies() throws {
    try withTemporaryFolder { folder in
      let files = try write(in: folder)
      let out = "\(folder)/audit"
      let audit = try Audit(.files(files, overrides: []))
      try audit.write(to: out)
      let lists = try #require(audit.json(folder: out)["findings"]?.array).compactMap {
        $0["remedy"]?.string
      }.filter { $0.hasPrefix("ingest.drop=") }.map { $0.dropFirst("ingest.drop=".count) }
      let drop = "[" + lists.map { "\"\($0)\"" }.joined(separator: ",") + "]"
      let clean = try Audit(.files(files, overrides: ["drop=\(drop)", "ties=drop"]))
      let findings = try #require(clean.json(folder: nil)["findings"]?.array)
      for finding in findings where finding["unit"] == "pairs" {
        #expect(finding["count"] == 0, "\(finding["kind"]?.string ?? "")")
      }
      #expect(clean.json(folder: nil)["pairs"] == 3)
    }
  }

  @Test("a finished pipeline is audited by its catalog, an unfinished one by its files")
  func pipelines() throws {
    try DataPipeline.with([DataPipeline.train]) { pipeline in
      let before = try Audit(.pipeline(try pipeline.pipeline()), looksAtImages: false)
      try pipeline.run(through: "ingest")
      let after = try Audit(.pipeline(try pipeline.pipeline()), looksAtImages: false)
      #expect(before.json(folder: nil) == after.json(folder: nil))
      #expect(after.json(folder: nil)["pairs"] == 24)
    }
  }
}
