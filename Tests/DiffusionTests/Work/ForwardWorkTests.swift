import Diffusion
import Files
import Testing

@Suite("Work of a forward pass")
struct ForwardWorkTests {
  @Test("Stable Diffusion v1.5's U-Net takes 803 GFLOP at 64 x 64")
  func firstModel() throws {
    let configuration = try UNetConfiguration(
      JSONReader(["cross_attention_dim": 768, "sample_size": 64], path: "config.json"))
    let work = configuration.forwardWork(height: 64, width: 64, tokens: 77)
    #expect(billions(work.convolution) == 444)
    #expect(billions(work.linear) == 233)
    #expect(billions(work.attention) == 126)
    #expect(billions(work.total) == 803)
    let twice = configuration.forwardWork(height: 64, width: 64, tokens: 77, batch: 2)
    #expect(twice.total == 2 * work.total)
  }

  @Test("training adapters takes what PyTorch counts, but for the way into the first transformer")
  func adapters() throws {
    let configuration = try UNetConfiguration(
      JSONReader(["cross_attention_dim": 768, "sample_size": 64], path: "config.json"))
    let work = configuration.adapterTrainingWork(height: 64, width: 64, tokens: 77, rank: 4)
    // torch.utils.flop_counter 2.13, meta tensors, attention as two products: 1,714.41 GFLOP. Its first
    // norm, input projection, queries, keys and values have no gradient to hand on.
    #expect(billions(work.attention) == 378)
    #expect((1714...1719).contains(billions(work.total)))
  }

  @Test("a transformer of CLIP takes two operations for each weight and token, and its scores")
  func textEncoder() throws {
    let configuration = try CLIPTextConfiguration(
      JSONReader(
        [
          "hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12,
          "num_hidden_layers": 12,
        ], path: "config.json"))
    let work = configuration.transformer.forwardWork(tokens: 77, batch: 4)
    #expect(work.linear == 4 * 12 * 2 * 77 * (4 * 768 * 768 + 2 * 768 * 3072))
    #expect(work.attention == 4 * 12 * 4 * 77 * 77 * 768)
  }

  @Test("SDXL's U-Net takes 6,761 GFLOP at 128 x 128")
  func xl() throws {
    let configuration = try UNetConfiguration(
      JSONReader(
        [
          "block_out_channels": [320, 640, 1280],
          "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
          "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
          "transformer_layers_per_block": [1, 2, 10], "attention_head_dim": [5, 10, 20],
          "cross_attention_dim": 2048, "addition_embed_type": "text_time",
          "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816,
        ], path: "config.json"))
    let work = configuration.forwardWork(height: 128, width: 128, tokens: 77)
    #expect(billions(work.total) == 6761)
  }

  @Test("The published autoencoder takes 2,515 GFLOP to decode 512 x 512")
  func autoencoder() throws {
    let configuration = try AutoencoderConfiguration(
      JSONReader(
        [
          "block_out_channels": [128, 256, 512, 512], "layers_per_block": 2,
          "down_block_types": [
            "DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D",
          ],
          "up_block_types": [
            "UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D",
          ],
        ], path: "config.json"))
    #expect(billions(configuration.decodingWork(height: 64, width: 64).total) == 2515)
  }

  private func billions(_ count: Int) -> Int { Int((Double(count) / 1e9).rounded()) }
}
