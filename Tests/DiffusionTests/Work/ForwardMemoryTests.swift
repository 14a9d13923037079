import Autograd
import Diffusion
import Files
import NN
import TensorCore
import TestSupport
import Testing

@Suite("Memory of a forward pass")
struct ForwardMemoryTests {
  private static let configuration = Result {
    try UNetConfiguration(
      JSONReader(["cross_attention_dim": 768, "sample_size": 64], path: "config.json"))
  }

  @Test(
    "Stable Diffusion v1.5 keeps 1.1 GB of a latent for training, less than half with checkpointing"
  )
  func firstModel() throws {
    let memory = try Self.configuration.get().forwardMemory(
      height: 64, width: 64, tokens: 77, rank: 4)
    let (kept, _) = memory.training(isCheckpointed: false)
    let (keptByCheckpoints, again) = memory.training(isCheckpointed: true)
    #expect((1_000...1_150).contains(4 * kept / 1_000_000))
    #expect(4 * (keptByCheckpoints + again) < kept * 2)
    // Without a backward pass little more than the widest block.
    #expect(memory.most < kept / 8)
  }

  @Test("twice the pixels take twice the memory, of adapters a higher rank some more")
  func proportions() throws {
    let configuration = try Self.configuration.get()
    let one = configuration.forwardMemory(height: 64, width: 64, tokens: 77)
    let two = configuration.forwardMemory(height: 128, width: 64, tokens: 77)
    #expect(two.most == 2 * one.most)
    let ranked = configuration.forwardMemory(height: 64, width: 64, tokens: 77, rank: 64)
    #expect(ranked.kept > one.kept && ranked.kept < one.kept * 3 / 2)
  }

  @Test("Stable Diffusion v1.5's LoRA of rank 4 has 797,184 numbers")
  func adapters() throws {
    #expect(try Self.configuration.get().adapterWeightCount(rank: 4) == 797_184)
  }

  @Test("what a recorded pass keeps is what was counted, within a third")
  func measured() throws {
    let folder = ModelFolder(path: fixturePath("../../data/tiny-sd"))
    let adapters = AdapterSet.fresh(rank: 4, seed: 1) { path in
      [".to_q", ".to_k", ".to_v", ".to_out.0"].contains { path.hasSuffix($0) }
    }
    let unet = try folder.unet(adapters: adapters).model
    let rows = 4
    let sample = Tensor(repeating: 0.5, shape: [rows, 16, 16, 4])
    let conditioning = Conditioning(Tensor(repeating: 0.1, shape: [rows, 24, 64]))
    func run() -> (output: Tensor, byteCount: Int) {
      let before = BufferPool.shared.usedBytes
      let output = unet(
        sample, timesteps: [Float](repeating: 1, count: rows), conditioning: conditioning)
      return (output, BufferPool.shared.usedBytes - before)
    }
    _ = run()  // what kernels keep of the weights
    let found = run()
    let counted = unet.configuration.forwardMemory(height: 16, width: 16, tokens: 24, rank: 4)
    let expected = 4 * rows * counted.kept
    #expect(abs(found.byteCount - expected) < expected / 3, "\(found.byteCount), \(expected)")
    withExtendedLifetime(found.output) {}
  }
}
