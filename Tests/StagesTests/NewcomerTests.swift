import Catalog
import Files
import Foundation
import Imaging
import Parquet
import PipelineCore
import Shards
import TestSupport
import Testing

/// The data that a newcomer has, in files that other programs wrote, from its file to shards.
///
/// `Fixtures/data/generate.py` says what wrote which; all hold the same four prompts with three images
/// each, of which the first is the best.
@Suite struct NewcomerTests {
  struct Form: CustomTestStringConvertible, Sendable {
    let file: String
    let form: String
    /// Pairs as the file orders them: prompt, first image, second image, label of the first, weight.
    let pairs: Pairs
    var needs: [String] = []
    var settings: [String: JSON] = [:]

    enum Pairs {
      case duels(weight: Double)
      case rankings, none
    }
    var testDescription: String { file }
  }

  private static let prompts = ["a red fox", "a green hill", "two boats, at dawn", "eine Katze"]

  static let all = [
    Form(file: "pickapic-datasets.parquet", form: "pickapic", pairs: .duels(weight: 0.5)),
    Form(
      file: "chosen-rejected-datasets.parquet", form: "chosen_rejected",
      pairs: .duels(weight: 1)),
    Form(
      file: "chosen-rejected-polars.parquet", form: "chosen_rejected", pairs: .duels(weight: 1),
      needs: ["ZSTD"]),
    Form(file: "chosen-rejected-pandas.jsonl", form: "chosen_rejected", pairs: .duels(weight: 1)),
    Form(file: "hpdv2.json", form: "ranking", pairs: .duels(weight: 1)),
    Form(file: "hpdv2-test.json", form: "ranking", pairs: .rankings),
    Form(file: "hpdv3.json", form: "hpdv3", pairs: .duels(weight: 1)),
    Form(file: "imagereward.json", form: "ranking", pairs: .rankings),
    Form(
      file: "imagerewarddb.json", form: "ranked_images", pairs: .rankings, needs: ["WebP"]),
    Form(
      file: "imagerewarddb-pandas.parquet", form: "ranked_images", pairs: .rankings,
      needs: ["WebP"]),
    Form(file: "ranking-polars.parquet", form: "ranking", pairs: .rankings, needs: ["ZSTD"]),
    Form(file: "votes-datasets.parquet", form: "votes", pairs: .duels(weight: 10.0 / 26)),
    Form(
      file: "votes-duckdb.parquet", form: "votes", pairs: .duels(weight: 10.0 / 26),
      needs: ["ZSTD"]),
    Form(file: "pairs-pandas.csv", form: "pairs", pairs: .duels(weight: 1)),
    Form(file: "pairs-polars.jsonl", form: "pairs", pairs: .duels(weight: 1)),
    Form(file: "pairs-duckdb.tsv", form: "pairs", pairs: .duels(weight: 1)),
    Form(
      file: "pairs-renamed.csv", form: "pairs", pairs: .duels(weight: 1),
      settings: [
        "columns": [
          "prompt": "words", "image_0": "links", "image_1": "rechts", "preferred": "besser",
        ]
      ]),
    Form(file: "folders", form: "folders", pairs: .rankings),
    Form(file: "prompts.txt", form: "prompts", pairs: .none),
    Form(file: "prompts.json", form: "prompts", pairs: .none),
    Form(file: "prompts-pandas.csv", form: "prompts", pairs: .none),
    Form(file: "prompts-duckdb.parquet", form: "prompts", pairs: .none),
  ]

  /// The missing libraries that a file needs.
  private static func missing(_ form: Form) -> String? {
    form.needs.first { need in
      need == "WebP" ? WebPLibrary.found == nil : CompressionLibrary.zstd.found == nil
    }
  }

  /// The images of the fixtures as each format has them, by prompt and place.
  private static let images = Result { () throws -> [String: String] in
    var images: [String: String] = [:]
    for (prompt, _) in prompts.enumerated() {
      for place in 0..<3 {
        let png = try RegularFile(path: fixturePath("data/images/\(prompt)-\(place).png")).readAll()
        images["\(prompt)-\(place)"] = SHA256.hexDigest(of: try RGBImage(decoding: png).pixels)
      }
    }
    return images
  }

  @Test("a file of each form becomes pairs, and these become shards", arguments: all)
  func shards(form: Form) throws {
    if let library = Self.missing(form) {
      print("skipped: \(form.file) needs the library for \(library), which is missing here")
      return
    }
    try withTemporaryFolder { folder in
      var pipeline = try DataPipeline(in: folder, sources: [])
      pipeline.ingest = form.settings
      pipeline.ingest["source"] = .string(fixturePath("data/\(form.file)"))
      let events = try pipeline.run()
      let said = events.compactMap { event -> String? in
        if case .said("ingest", let text) = event { text } else { nil }
      }
      #expect(said.contains { $0.contains("\(form.file): read as \(form.form): ") }, "\(said)")
      let catalog = try pipeline.catalog()
      #expect(try catalog.counts().rejections == 0)
      #expect(try catalog.countsBySource().allSatisfy(\.isBalanced))
      let index = try ShardIndex(contentsOf: "\(pipeline.workspacePath)/shards/index.json")
      #expect(index.shards.reduce(0) { $0 + $1.promptCount } == 4)
      #expect(try index.shards.reduce(0) { $0 + $1.pairCount } == catalog.counts().pairs)
      // Copies show which image is which.
      pipeline.workspace = "copies"
      pipeline.ingest["copy_images"] = true
      try pipeline.run(through: "ingest")
      try expectPairs(try pipeline.catalog(), form)
      #expect(try Set(catalog.prompts().map(\.text)) == Set(Self.prompts))
    }
  }

  private func expectPairs(_ catalog: CatalogDatabase, _ form: Form) throws {
    var pairs: [String] = []
    for split in try catalog.splits() {
      try catalog.forEachPromptGroup(inSplit: split) { group in
        let prompt = try #require(Self.prompts.firstIndex(of: group.prompt.text))
        for pair in group.pairs {
          let positions = try [pair.image0, pair.image1].map { try place(of: $0, catalog, prompt) }
          let weight = (pair.weight * 1000).rounded() / 1000
          pairs.append(
            "\(prompt): \(positions[0]) \(positions[1]) \(pair.label0) \(pair.label1) \(weight)")
        }
      }
    }
    var expected: [String] = []
    for prompt in Self.prompts.indices {
      switch form.pairs {
      case .none: break
      case .duels(let weight):
        let weight = (weight * 1000).rounded() / 1000
        // Where the first image is the preferred one by its column, the second duel is turned round.
        let isTurned = ["chosen_rejected", "hpdv3"].contains(form.form)
        expected.append("\(prompt): 0 1 1.0 0.0 \(weight)")
        expected.append(
          isTurned ? "\(prompt): 1 2 1.0 0.0 \(weight)" : "\(prompt): 2 1 0.0 1.0 \(weight)")
      case .rankings:
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
          expected.append("\(prompt): \(a) \(b) 1.0 0.0 0.333")
        }
      }
    }
    #expect(pairs.sorted() == expected.sorted())
  }

  /// Identifies an image of its prompt by its pixels; JPEG has none of the fixtures' pixels
  /// exactly.
  private func place(
    of image: PairedImage, _ catalog: CatalogDatabase, _ prompt: Int
  ) throws -> Int {
    let decoded = try RGBImage(decoding: try #require(try catalog.copiedBytes(ofImage: image.id)))
    let digest = SHA256.hexDigest(of: decoded.pixels)
    let images = try Self.images.get()
    if let place = (0..<3).first(where: { images["\(prompt)-\($0)"] == digest }) { return place }
    let distances = try (0..<3).map { place in
      let path = fixturePath("data/images/\(prompt)-\(place).png")
      let png = try RGBImage(decoding: try RegularFile(path: path).readAll())
      return zip(png.pixels, decoded.pixels).reduce(0) { $0 + abs(Int($1.0) - Int($1.1)) }
    }
    return distances.indices.min { distances[$0] < distances[$1] } ?? -1
  }
}
