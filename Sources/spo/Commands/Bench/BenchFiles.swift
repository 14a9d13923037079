import Catalog
import Files
import Foundation
import Imaging
import PipelineCore
import RandomStreams
import Shards
import Stages

/// Benchmarks of reading files.
enum FileBench {
  /// Decodes images in memory to pixels, one after another.
  static func jpeg(_ options: BenchOptions) throws -> BenchWork {
    let images = try options.files.map { path in
      (path: path, bytes: try RegularFile(path: path).readAll())
    }
    let bytes = images.reduce(0) { $0 + $1.bytes.count }
    return BenchWork(bytes: bytes, items: images.count) {
      for (path, bytes) in images {
        do throws(ImageError) {
          _ = try RGBImage(decoding: bytes, keepsOrientation: true)
        } catch {
          throw UnreadableImage(path: path, reason: error)
        }
      }
      return [:]
    }
  }

  /// Reads rows into a new catalog, like stage `ingest` with `check_images: "header"`: every image
  /// is hashed and its size read.
  static func parquet(_ options: BenchOptions) throws -> BenchWork {
    let folder = FileManager.default.temporaryDirectory.path + "/spo-bench-\(getpid())"
    try Folders.make(folder)
    let paths = options.files.map { JSON.string(URL(fileURLWithPath: $0).path) }
    let file: JSON = [
      "workspace": .string("\(folder)/workspace"),
      "stages": ["ingest": ["source": .array(paths), "check_images": "header"]],
    ]
    try AtomicFile.replace("\(folder)/pipeline.json5", with: Array(file.text().utf8))
    let pipeline = try Pipeline(path: "\(folder)/pipeline.json5", stages: stageTypes)
    func ingest() throws {
      try Folders.remove("\(folder)/workspace")
      try Runner(pipeline) { _ in }.run()
    }
    try ingest()
    let catalog = try CatalogDatabase(
      path: "\(folder)/workspace/\(CatalogDatabase.fileName)", access: .readOnly)
    let rows = try catalog.sources().reduce(0) { $0 + $1.rowCount }
    let bytes = try options.files.reduce(0) { $0 + (try RegularFile(path: $1).size) }
    return BenchWork(
      bytes: bytes, items: rows, cleanUp: { try Folders.remove(folder) },
      run: {
        try ingest()
        return [:]
      })
  }

  /// Reads every training pair once, in random order: both latents and the prompt's embedding.
  static func shard(_ options: BenchOptions) throws -> BenchWork {
    let sets = try options.files.map { try ShardSet(folder: $0, split: "train") }
    var random = RandomStream(seed: 1, purpose: "bench")
    let orders = sets.map { random.permutation(count: $0.pairCount) }
    var bytes = 0
    for set in sets where set.pairCount > 0 {
      let prompt = try set.embedding(ofPrompt: try set.pair(0).prompt)
      bytes += set.pairCount * 4 * (2 * set.layout.latentCount + prompt.count)
    }
    return BenchWork(bytes: bytes, items: sets.reduce(0) { $0 + $1.pairCount }) {
      for (set, order) in zip(sets, orders) {
        for number in order {
          let pair = try set.pair(number)
          _ = try set.latent(ofImage: pair.image0)
          _ = try set.latent(ofImage: pair.image1)
          _ = try set.embedding(ofPrompt: pair.prompt)
        }
      }
      return [:]
    }
  }
}
