import { ready } from "../kit/states.js";

ready();
