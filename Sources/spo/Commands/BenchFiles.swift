import Files
import Imaging
import Shards
import TensorCore

/// Reading of files.
enum FileBench {
  /// Pictures in memory to pixels, one after another.
  static func jpeg(_ options: BenchOptions) throws -> BenchWork {
    let pictures = try options.files.map { path in
      (path: path, bytes: try RegularFile(path: path).readAll())
    }
    let bytes = pictures.reduce(0) { $0 + $1.bytes.count }
    return BenchWork(bytes: bytes, items: pictures.count) {
      for (path, bytes) in pictures {
        do throws(ImageError) {
          _ = try RGBImage(decoding: bytes, keepsOrientation: true)
        } catch {
          throw UnreadableImage(path: path, reason: error)
        }
      }
    }
  }

  /// Every training pair once, in random order: both latents and the prompt's embedding.
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
    }
  }
}
